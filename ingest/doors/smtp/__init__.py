"""The SMTP door (RFC 5321): aiosmtpd, with what a receiver on port 25 must do differently."""
