//! Writes the man pages of the command `lmtokens`, one per command, into the folder that its argument names.

use std::env;
use std::fs;
use std::io;

fn main() -> io::Result<()> {
    let folder =
        env::args_os().nth(1).ok_or_else(|| io::Error::other("expected a folder as the argument"))?;
    fs::create_dir_all(&folder)?;
    // `lmtokens help COMMAND` is the same as `lmtokens COMMAND --help`.
    clap_mangen::generate_to(lmtokens::testing::shell_command().disable_help_subcommand(true), folder)
}
