//! The seam to the file system: real files, and files that fail as a test says.
