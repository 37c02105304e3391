//! What a user notices of the folder.
