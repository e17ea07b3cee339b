"""Audio Compressor: recordings that land on a server, turned once and verifiably into what people keep."""

__version__ = "0.1.0"
