// Placeholder so that the library exists before its first part.
