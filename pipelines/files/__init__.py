"""A user's own files: tables, texts and folders of images."""
