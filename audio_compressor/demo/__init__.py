"""An embedded SFTP server and sample recordings, so that the first command shows real work."""
