"""What reports are packed in, opened within bounds: compression, archives, encodings. The bytes tell, never their label."""
