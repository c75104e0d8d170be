//! `millrace`: one binary, one match over its commands.

use std::process::ExitCode;

use app::cli::{Cli, Command};
use app::serve::Roles;
use app::{UsageError, letters, produce, serve};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::from_surroundings() {
        Ok(cli) => cli,
        Err(exit) => return exit.end(),
    };
    match run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    shared::telemetry::init(&cli.settings.log_level).map_err(app::usage)?;
    match cli.command.unwrap_or(Command::All) {
        Command::All => serve::run(cli.settings, Roles::ALL).await,
        Command::WriteSide => serve::run(cli.settings, Roles::WRITE_SIDE).await,
        Command::ReadSide => serve::run(cli.settings, Roles::READ_SIDE).await,
        Command::Produce(arguments) => produce::run(&cli.settings, &arguments).await,
        Command::DeadLetters(command) => letters::run(&cli.settings, command).await,
        Command::Migrate => serve::migrate(&cli.settings).await,
        Command::Ready { url } => serve::probe(&url).await,
    }
}

#[expect(clippy::print_stderr, reason = "the last word of a command, for a person")]
fn fail(error: &anyhow::Error) -> ExitCode {
    let cause = error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ");
    eprintln!("millrace: {cause}");
    ExitCode::from(if error.is::<UsageError>() { 2 } else { 1 })
}
