//! Checks the bearer token of requests.
//!
//! Browsers send no header when they open a page or a WebSocket. `GET /graphql` therefore also receives requests without
//! a token, marked with [`Unauthenticated`].

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use millrace_platform::problem::Problem;

use crate::access::ReadTokens;

/// The route that checks tokens itself.
const GRAPHQL: &str = "/graphql";

/// Marks a request without a token. Its only valid answers are the editor, and a WebSocket whose `connection_init` must
/// contain a token.
#[derive(Debug, Clone)]
pub(crate) struct Unauthenticated(ReadTokens);

impl Unauthenticated {
    pub(crate) fn is_allowed_with(&self, headers: &HeaderMap) -> bool {
        is_allowed(&self.0, headers)
    }
}

fn is_allowed(tokens: &ReadTokens, headers: &HeaderMap) -> bool {
    let authorization = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    tokens.allow(authorization.unwrap_or_default())
}

/// The routes, which require a token if there are tokens.
pub(super) fn guard(routes: Router, tokens: Option<&ReadTokens>) -> Router {
    match tokens {
        Some(tokens) => routes.route_layer(middleware::from_fn_with_state(tokens.clone(), check)),
        None => routes,
    }
}

async fn check(
    State(tokens): State<ReadTokens>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    // A preflight request of a browser has no token, and the methods of a route are public.
    if request.method() == Method::OPTIONS || is_allowed(&tokens, request.headers()) {
        return Ok(next.run(request).await);
    }
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    if request.method() == Method::GET && route == Some(GRAPHQL) {
        request.extensions_mut().insert(Unauthenticated(tokens));
        return Ok(next.run(request).await);
    }
    Err(unauthorized())
}

pub(crate) fn unauthorized() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized")
        .detail("token missing or invalid; send the header Authorization: Bearer …")
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}
