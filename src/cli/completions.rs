//! `lmtokens completions`.

use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::generate;
use clap_complete::shells::{Bash, Fish, Zsh};

use super::Arguments;
use super::exit;
use super::output::Output;
use super::report::Failure;

/// Print the script that completes commands and options in a shell
#[derive(Args)]
#[command(after_help = exit::help(EXAMPLES, &[]))]
#[command(arg = super::refused_profile())]
pub(super) struct Completions {
    /// Name of the shell
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

const EXAMPLES: &str = r#"Examples:
  lmtokens completions bash > ~/.local/share/bash-completion/completions/lmtokens
  lmtokens completions zsh > "${fpath[1]}/_lmtokens"
  lmtokens completions fish > ~/.config/fish/completions/lmtokens.fish"#;

impl Completions {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let mut arguments = Arguments::command();
        let mut script = Vec::new();
        match self.shell {
            Shell::Bash => generate(Bash, &mut arguments, "lmtokens", &mut script),
            Shell::Zsh => generate(Zsh, &mut arguments, "lmtokens", &mut script),
            Shell::Fish => generate(Fish, &mut arguments, "lmtokens", &mut script),
        }
        Output::open()?.write(&String::from_utf8_lossy(&script))?;
        Ok(exit::DONE)
    }
}
