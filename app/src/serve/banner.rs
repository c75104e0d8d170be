//! What a person sees on standard output once the ports are served.

use tokio::net::TcpListener;

use super::listeners::Listeners;
use crate::output::print_line;

/// The addresses of the ports that are served, and commands to try.
pub(super) struct Banner {
    queries: Option<String>,
    commands: Option<String>,
    admin: Option<String>,
    metrics: Option<String>,
    sample: bool,
}

impl Banner {
    pub(super) fn of(listeners: &Listeners, scheme: &str, sample: bool) -> Self {
        let url = |scheme: &str, listener: &Option<TcpListener>| {
            let address = listener.as_ref()?.local_addr().ok()?;
            Some(format!("{scheme}://{}", address.to_string().replace("0.0.0.0", "127.0.0.1")))
        };
        Self {
            queries: url(scheme, &listeners.queries),
            commands: url(scheme, &listeners.commands),
            admin: url(scheme, &listeners.admin),
            metrics: url("http", &listeners.metrics),
            sample,
        }
    }

    pub(super) fn print(&self) -> std::io::Result<()> {
        print_line(format_args!("millrace {} is up\n", env!("CARGO_PKG_VERSION")))?;
        let lines = [
            ("read side", &self.queries, "  REST and GraphQL; a page at /"),
            ("commands", &self.commands, "  a list of the commands at /"),
            ("admin", &self.admin, "  dead letters, circuit breaker"),
            ("metrics", &self.metrics, "/metrics"),
        ];
        for (name, url, about) in lines {
            if let Some(url) = url {
                print_line(format_args!("  {name:<11} {url}{about}"))?;
            }
        }
        let (Some(queries), Some(commands)) = (&self.queries, &self.commands) else {
            return Ok(());
        };
        let json = "-H 'content-type: application/json'";
        print_line("\nTry, in another terminal:\n")?;
        if self.sample {
            print_line(format_args!("  curl {queries}/users/customer-2"))?;
            print_line(format_args!(
                "  curl {queries}/graphql {json} -d '{{\"query\":\"{{user(id:\\\"customer-2\\\"){{name recentOrders{{orderId amount payment{{status}}}}}}}}\"}}'"
            ))?;
            print_line(format_args!(
                "  curl {commands}/api/v1/orders {json} -d '{{\"userId\":\"customer-2\",\"amount\":149.99}}'"
            ))?;
        } else {
            print_line(format_args!(
                "  curl {commands}/api/v1/users {json} -d '{{\"userId\":\"user-1\",\"email\":\"ada@example.com\",\"name\":\"Ada\"}}'"
            ))?;
            print_line(format_args!(
                "  curl {commands}/api/v1/orders {json} -d '{{\"userId\":\"user-1\",\"amount\":149.99}}'"
            ))?;
            print_line(format_args!("  curl {queries}/users/user-1"))?;
        }
        print_line("\nCtrl-C stops it.")
    }
}
