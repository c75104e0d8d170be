//! The page at `/graphql`: GraphiQL if it was built into this binary (`playground/`), else a small editor. Neither loads
//! anything from another host.

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use millrace_platform::http::page;

pub(super) fn html() -> Response {
    imp::html()
}

/// The small editor at its own address, and the files of GraphiQL.
pub(crate) fn routes() -> Router {
    imp::routes().route("/graphql/editor", get(async || editor()))
}

fn editor() -> Response {
    page(include_str!("playground.html"))
}

#[cfg(playground)]
mod imp {
    use axum::Router;
    use axum::extract::Path;
    use axum::http::header;
    use axum::response::{IntoResponse, Response};
    use axum::routing::get;
    use millrace_platform::http::page_with_policy;
    use millrace_platform::problem::Problem;

    macro_rules! dist {
        ($file:literal) => {
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../playground/dist/", $file))
        };
    }

    /// GraphiQL sets styles from scripts and has icons as data URLs.
    const POLICY: &str = "default-src 'none'; style-src 'self' 'unsafe-inline'; script-src 'self'; \
                          connect-src 'self'; img-src 'self' data:; font-src 'self' data:";

    pub(super) fn html() -> Response {
        page_with_policy(dist!("index.html"), POLICY)
    }

    pub(super) fn routes() -> Router {
        Router::new().route("/graphql/assets/{file}", get(asset))
    }

    async fn asset(Path(file): Path<String>) -> Result<Response, Problem> {
        let (kind, body) = match file.as_str() {
            "main.js" => ("text/javascript", dist!("main.js")),
            "react.js" => ("text/javascript", dist!("react.js")),
            "react-dom.js" => ("text/javascript", dist!("react-dom.js")),
            "graphiql.js" => ("text/javascript", dist!("graphiql.js")),
            "graphiql.css" => ("text/css", dist!("graphiql.css")),
            _ => return Err(Problem::not_found("asset not found")),
        };
        Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
    }
}

#[cfg(not(playground))]
mod imp {
    use axum::Router;
    use axum::response::Response;

    pub(super) fn html() -> Response {
        super::editor()
    }

    pub(super) fn routes() -> Router {
        Router::new()
    }
}
