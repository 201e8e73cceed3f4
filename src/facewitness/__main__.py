"""``python -m facewitness`` is the command line."""

from facewitness.cli import main

main()
