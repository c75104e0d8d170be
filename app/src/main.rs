//! The binary `millrace`: one match over its commands.

use std::process::ExitCode;

use millrace::cli::{self, Cli, Command};
use millrace::output::print_line;
use millrace::serve::Roles;
use millrace::{UsageError, letters, migrate, produce, ready, serve};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::from_process() {
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
    for warning in &cli.warnings {
        tracing::warn!(target: "millrace::app", "{warning}");
    }
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
        Command::Settings { command } => Ok(print_line(cli::reference::text(command.as_deref()).trim_end())?),
    }
}

#[expect(clippy::print_stderr, reason = "the final message of a command, for a person")]
fn fail(error: &anyhow::Error) -> ExitCode {
    let cause = error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ");
    eprintln!("millrace: {cause}");
    ExitCode::from(if error.is::<UsageError>() { 2 } else { 1 })
}
