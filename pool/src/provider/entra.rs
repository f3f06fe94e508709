//! Tokens of Microsoft Entra ID, in place of keys: which credential there is, how it is turned into a
//! token, and who keeps the token.
//!
//! The requests are those of Azure's own libraries; ADR 19 says why none of these is used. It must
//! know nothing of deployments but their scope. Tokens, secrets and assertions never leave it in a
//! message: only a request carries them.

mod credential;
mod grant;
mod issue;
mod tokens;

pub(crate) use grant::scope;
pub(crate) use issue::TokenError;
pub(crate) use tokens::{Token, TokenSources, Tokens};
