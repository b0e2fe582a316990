//! The tier on disk: one folder of log-structured segments, an index in RAM, and what keeps both
//! true through crashes, full disks and damage.

pub mod checkpoint;
pub mod files;
pub mod ghost;
pub mod index;
pub mod purges;
pub mod record;
pub mod segment;
pub mod superblock;
