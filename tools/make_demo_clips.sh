#!/bin/sh
# Speaks the sentences of the demo recordings with espeak-ng and packs them as small Opus clips.
# Run it only to change what is said: the clips are part of the package, so nobody else needs espeak-ng.
#
#   tools/make_demo_clips.sh [python]     (a Python that has imageio-ffmpeg; default: python3)
set -eu

clips="$(dirname "$0")/../audio_compressor/demo/clips"
ffmpeg="$("${1:-python3}" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# say NAME VOICE PITCH WORDS_PER_MINUTE TEXT
say() {
    espeak-ng -v "$2" -p "$3" -s "$4" -w "$work/$1.wav" "$5"
    # 20 kbit/s voip keeps consonants clean; -bitexact keeps the encoder's version out of the file.
    "$ffmpeg" -nostdin -v error -y -i "$work/$1.wav" -af loudnorm=I=-20:TP=-3,aresample=24000 -ac 1 \
        -c:a libopus -b:a 20k -application voip -frame_duration 60 -map_metadata -1 -bitexact "$clips/$1.opus"
}

say anna-1 en-us+f3 52 158 "Good morning. This is the reading room, and the tape machine is running. Please say your name and the date before you begin."
say anna-2 en-us+f3 52 158 "How did these recordings reach the archive? Somebody must have carried the boxes up four flights of stairs."
say anna-3 en-us+f3 52 158 "And when you play them today, what do you hear first: the voices, or the room around them?"

say ben-1 en-gb+m3 38 150 "My name is Ben, and I looked after the studio for eleven years. We kept every rehearsal, even the ones nobody wanted to hear again."
say ben-2 en-gb+m3 38 150 "They came in a delivery van, on a wet Thursday. Two boxes were labelled wrongly, and one of them was empty."
say ben-3 en-gb+m3 38 150 "The room, always the room. You can tell the old hall from the new one by the way a door closes."

say jutta-1 de+f2 55 150 "Guten Tag und herzlich willkommen im Tonarchiv. Heute hören wir eine Aufnahme, die lange im Keller lag."
say jutta-2 de+f2 55 150 "Wer hat die Bänder damals beschriftet, und warum fehlt auf der zweiten Spule das Datum?"

say karl-1 de+m7 35 145 "Das war meine Aufgabe. Jede Kassette bekam eine Nummer, einen Titel und die Namen aller Gäste."
say karl-2 de+m7 35 145 "An jenem Abend fiel der Strom aus. Wir haben bei Kerzenlicht weitergeredet, und keiner dachte an das Etikett."

ls -l "$clips"
