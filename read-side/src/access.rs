//! Who may read: everybody, unless a file of tokens is given; then whoever brings one of them as a bearer (RFC 6750).
//!
//! Browsers send no header with a page that is opened or with a WebSocket. So `GET /graphql` decides itself what it
//! gives to who has shown no token yet: see `Unproven`.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use millrace_platform::problem::Problem;
use millrace_platform::settings::InvalidSetting;
use sha2::{Digest, Sha256};

/// Shorter tokens can be guessed.
const TOKEN_BYTES_MIN: usize = 16;
const TOKENS_MAX: usize = 10_000;
/// The route that looks at tokens itself.
const GRAPHQL: &str = "/graphql";

/// The tokens of a file. Only their digests are kept, so nothing that is shown or searched gives a token away: how long
/// a look-up takes depends on a digest, which nobody can steer.
#[derive(Clone)]
pub struct ReadTokens(Arc<HashSet<[u8; 32]>>);

impl std::fmt::Debug for ReadTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} tokens", self.0.len())
    }
}

impl ReadTokens {
    /// Reads a file with a token a line; empty lines and those that begin with # are left out.
    ///
    /// # Errors
    /// [`InvalidSetting`], which names the file and the line, never a token.
    pub fn load(path: &str) -> Result<Self, InvalidSetting> {
        let text =
            std::fs::read_to_string(path).map_err(|error| InvalidSetting(format!("{path}: {error}")))?;
        let mut tokens = HashSet::new();
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.len() < TOKEN_BYTES_MIN || !line.bytes().all(|byte| byte.is_ascii_graphic()) {
                let problem = format!(
                    "{path}, line {number}: a token has at least {TOKEN_BYTES_MIN} visible ASCII characters"
                );
                return Err(InvalidSetting(problem));
            }
            tokens.insert(Sha256::digest(line).into());
        }
        if tokens.is_empty() || tokens.len() > TOKENS_MAX {
            return Err(InvalidSetting(format!("{path}: expected 1 to {TOKENS_MAX} tokens, a line each")));
        }
        Ok(Self(Arc::new(tokens)))
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        let Some((scheme, token)) = given.split_at_checked(b"Bearer ".len()) else { return false };
        let digest: [u8; 32] = Sha256::digest(token.trim_ascii()).into();
        scheme.eq_ignore_ascii_case(b"Bearer ") && self.0.contains(&digest)
    }
}

/// Told to the handler of `GET /graphql` when the request brought no token. All that it may give then is its page, and
/// a WebSocket whose first message has to bring one.
#[derive(Debug, Clone)]
pub(crate) struct Unproven(ReadTokens);

impl Unproven {
    /// Whether these headers, brought later, have a token.
    pub(crate) fn is_proven_by(&self, headers: &HeaderMap) -> bool {
        self.0.admits(headers)
    }
}

/// The routes behind the tokens, if there are any.
pub(crate) fn guard(routes: Router, tokens: Option<&ReadTokens>) -> Router {
    match tokens {
        Some(tokens) => routes.route_layer(middleware::from_fn_with_state(tokens.clone(), admit)),
        None => routes,
    }
}

async fn admit(
    State(tokens): State<ReadTokens>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    // Which methods a route has is no secret, and a browser asks it without a token.
    if request.method() == Method::OPTIONS || tokens.admits(request.headers()) {
        return Ok(next.run(request).await);
    }
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    if request.method() == Method::GET && route == Some(GRAPHQL) {
        request.extensions_mut().insert(Unproven(tokens));
        return Ok(next.run(request).await);
    }
    Err(refused())
}

/// What is answered to who brings no token.
pub(crate) fn refused() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized")
        .detail("send the header Authorization: Bearer …")
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}
