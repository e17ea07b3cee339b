"""Names that strangers give to things, for hypothesis and as a list of the worst; for all tests of names."""

from hypothesis import strategies as st

from audio_compressor.recording import MAX_DIRECTORY_NAME_BYTES

# Pieces of which names go wrong; plain text from hypothesis rarely holds them.
PIECES = [
    *("10-17-25", "a", "ä", "a\u0308", "日", "😀", "\u0430", " ", "_compressed.wav", "_meta.xml", ".part", ".stranded"),
    *("..", ".", "/", "\\", "//", "/etc/passwd", "../../", "~", "~root", "\0", "\n", "\r", "\t", "\x1b[2J", "\x07"),
    *("\u202e", "\u2066", "\u200b", "\ufeff", "\u2028", "\ufffd", "\udc80", "\uff0f", "\u2215", "\uff0e\uff0e"),
    *("CON", "NUL.wav", "aux", "C:", ":stream", "?", "<", ">", '"', "|", "*", "[a-z]", "{a,b}", "-", "--", "-i", "-y"),
    *(
        "concat:",
        "http://x/",
        "file:",
        "data:,",
        "pipe:0",
        "subfile,,start,0,end,1,,:",
        "%d",
        "%03d",
        "%s",
        "$(id)",
        "`id`",
    ),
    *(
        ";",
        "&",
        "'",
        "<script>",
        "](javascript:alert(1))",
        "![x](//x)",
        "**",
        "=1+1",
        "@x",
        "#",
        "[red]",
        "{x}",
        "x" * 120,
    ),
]

any_name = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=6).map("".join),
    st.text(max_size=40),
    st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"], exclude_characters="/\\,"), max_size=40),
)

WORST = [
    *("..", ".", "", "/", "a/../../b", "../../../../tmp/evil", "a\0b", "a\nb", "\x1b]0;x\x07", "\u202egnp", ".hidden"),
    *(
        "-i",
        "-f",
        "--help",
        "-",
        "concat:a|b",
        "http://127.0.0.1:1/x",
        "file:a",
        "pipe:0",
        "data:,x",
        "%d",
        "%03d",
        "%",
    ),
    *(
        "CON",
        "NUL.wav",
        "C:",
        "C:x",
        "a:b",
        "x.",
        "a\\b",
        "*",
        "?",
        "[a]",
        "{a,b}",
        "~",
        "$(id)",
        "`id`",
        "'",
        '"',
        " x",
    ),
    *(
        "<script>alert(1)</script>",
        "[a](javascript:alert(1))",
        "a|b",
        "**b**",
        "=1+1",
        "\uff0f\uff0e\uff0e",
        "a\u0308",
        "ä",
    ),
    *("\u0430dmin", "日本語", "😀", "x" * MAX_DIRECTORY_NAME_BYTES, "x" * (MAX_DIRECTORY_NAME_BYTES + 1), "x" * 5000),
]
