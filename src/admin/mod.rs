//! How a running Larder is looked at and told what to do.
//!
//! The control socket is for the machine's own user: the folder's and the file's mode are the
//! access control. The pages and metrics of the admin listener are not here yet.

pub mod control;
