"""facewitness: make labelled reenactments, prove where a video came from, find what was faked."""

__version__ = "0.1.0"
