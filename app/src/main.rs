//! `millrace`: one binary, one match over its commands.

use std::process::ExitCode;

use millrace::cli::{Cli, Command};
use millrace::serve::Roles;
use millrace::{UsageError, letters, migrate, produce, ready, serve};

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
    millrace_platform::telemetry::init(&cli.settings.log_level).map_err(millrace::usage)?;
    match cli.command.unwrap_or(Command::All) {
        Command::All => serve::run(cli.settings, Roles::ALL).await,
        Command::WriteSide => serve::run(cli.settings, Roles::WRITE_SIDE).await,
        Command::Commands => serve::run(cli.settings, Roles::COMMANDS).await,
        Command::Projector => serve::run(cli.settings, Roles::PROJECTOR).await,
        Command::ReadSide => serve::run(cli.settings, Roles::READ_SIDE).await,
        Command::Produce(arguments) => produce::run(&cli.settings, &arguments).await,
        Command::DeadLetters(command) => letters::run(&cli.settings, command).await,
        Command::Migrate => migrate::run(&cli.settings).await,
        Command::Ready { url } => ready::run(&url).await,
    }
}

#[expect(clippy::print_stderr, reason = "the last word of a command, for a person")]
fn fail(error: &anyhow::Error) -> ExitCode {
    let cause = error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ");
    eprintln!("millrace: {cause}");
    ExitCode::from(if error.is::<UsageError>() { 2 } else { 1 })
}
