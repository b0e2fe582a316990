//! Segment files: their first block, their footer and their trailer.
