//! The core without Python, against the embedded portal over a real socket.
