"""What FFmpeg does for us: find and run it, look into files, encode, measure, verify, and judge the result."""
