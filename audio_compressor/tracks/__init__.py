"""Tracks: objects in a bucket that become M4A and HLS renditions in the same bucket."""
