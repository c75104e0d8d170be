//! The bearer tokens that may read. Without a file of tokens every client may.

use std::collections::HashSet;
use std::sync::Arc;

use millrace_platform::settings::InvalidSetting;
use sha2::{Digest, Sha256};

/// A shorter token could be guessed.
const TOKEN_BYTES_MIN: usize = 16;
const TOKENS_MAX: usize = 10_000;

/// The digests of tokens. The tokens themselves are not kept, and a look-up takes a time that depends on a digest, which
/// no client can choose.
#[derive(Clone)]
pub struct ReadTokens(Arc<HashSet<[u8; 32]>>);

impl std::fmt::Debug for ReadTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} tokens", self.0.len())
    }
}

impl ReadTokens {
    /// Reads a file with one token per line, ignoring empty lines and those that begin with #.
    ///
    /// # Errors
    /// [`InvalidSetting`] with the file and the line, but never a token.
    pub fn load(path: &str) -> Result<Self, InvalidSetting> {
        let text =
            std::fs::read_to_string(path).map_err(|error| InvalidSetting(format!("{path}: {error}")))?;
        let mut tokens = HashSet::new();
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.len() < TOKEN_BYTES_MIN || !line.bytes().all(|byte| byte.is_ascii_graphic()) {
                let error = format!(
                    "{path}, line {number}: token must have at least {TOKEN_BYTES_MIN} visible ASCII characters"
                );
                return Err(InvalidSetting(error));
            }
            tokens.insert(Sha256::digest(line).into());
        }
        if tokens.is_empty() || tokens.len() > TOKENS_MAX {
            return Err(InvalidSetting(format!("{path}: expected 1 to {TOKENS_MAX} tokens, one per line")));
        }
        Ok(Self(Arc::new(tokens)))
    }

    /// Whether the value of a header Authorization is `Bearer` and one of the tokens (RFC 6750).
    pub(crate) fn allow(&self, authorization: &[u8]) -> bool {
        let Some((scheme, token)) = authorization.split_at_checked(b"Bearer ".len()) else { return false };
        let digest: [u8; 32] = Sha256::digest(token.trim_ascii()).into();
        scheme.eq_ignore_ascii_case(b"Bearer ") && self.0.contains(&digest)
    }
}
