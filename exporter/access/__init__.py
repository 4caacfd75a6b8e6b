"""What the credentials may ask of AWS, which checks are blind without it, and what to permit."""
