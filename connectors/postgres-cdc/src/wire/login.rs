//! The beginning of a connection: TLS where it is wanted, and the password exchange (SCRAM, MD5, clear text).

use bytes::BytesMut;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend;
use towpath_model::{Clock, Fault, Reason};

use crate::error::Error;
use crate::network::{NetworkError, Read, Stream};
use crate::wire::{Connection, Cursor, Login, SslMode};

impl Connection {
    /// Answers the server until it lets us in.
    pub(super) fn authenticate(&mut self, login: &Login) -> Result<(), Error> {
        let mut scram: Option<ScramSha256> = None;
        let password = || {
            login.password.as_ref().ok_or_else(|| {
                let reason =
                    Reason::coded("postgres.password_missing", "the server asks for a password and none is set");
                let remedy = "Set `database.password`, best as a reference such as ${env:PGPASSWORD}.";
                Error::from(Fault::error("database.password", reason.remedy(remedy)))
            })
        };
        loop {
            let frame = self.wait_message()?;
            let body = self.inbound.body(&frame).to_vec();
            if frame.tag == b'E' {
                return Err(self.server_error(&frame));
            }
            if frame.tag != b'R' {
                self.take_in(&frame)?;
                continue;
            }
            let mut cursor = Cursor::new(&body);
            match cursor.u32()? {
                0 => return Ok(()),
                3 => {
                    let secret = password()?.reveal().as_bytes();
                    self.write_with(|out| frontend::password_message(secret, out))?;
                }
                5 => {
                    let salt = cursor.take(4)?.try_into().map_err(|_| Error::Protocol("a salt of the wrong size"))?;
                    let hashed = md5_hash(login.user.as_bytes(), password()?.reveal().as_bytes(), salt);
                    self.write_with(|out| frontend::password_message(hashed.as_bytes(), out))?;
                }
                10 => {
                    if !cursor.rest().split(|byte| *byte == 0).any(|name| name == SCRAM_SHA_256.as_bytes()) {
                        return Err(Error::Fatal("the server offers no way to log in that is known here".into()));
                    }
                    let secret = password()?.reveal().as_bytes();
                    let exchange = scram.insert(ScramSha256::new(secret, ChannelBinding::unsupported()));
                    let first = exchange.message().to_vec();
                    self.write_with(|out| frontend::sasl_initial_response(SCRAM_SHA_256, &first, out))?;
                }
                11 => {
                    let exchange = scram.as_mut().ok_or(OUT_OF_ORDER)?;
                    exchange.update(cursor.rest()).map_err(|_| OUT_OF_ORDER)?;
                    let second = exchange.message().to_vec();
                    self.write_with(|out| frontend::sasl_response(&second, out))?;
                }
                12 => scram.as_mut().ok_or(OUT_OF_ORDER)?.finish(cursor.rest()).map_err(|_| OUT_OF_ORDER)?,
                _ => return Err(Error::Fatal("the server asks for a way to log in that is not known here".into())),
            }
        }
    }
}

const OUT_OF_ORDER: Error = Error::Protocol("a login that does not follow its rules");

/// Asks for TLS and begins it, where the configuration wants it.
pub(super) fn start_tls(stream: &mut dyn Stream, login: &Login, clock: &dyn Clock) -> Result<(), Error> {
    if login.ssl == SslMode::Disable {
        return Ok(());
    }
    let mut out = BytesMut::new();
    frontend::ssl_request(&mut out);
    stream.write(&out)?;
    let deadline = clock.monotonic() + login.timeout;
    let mut answer = Vec::new();
    while answer.is_empty() {
        match stream.read(&mut answer)? {
            Read::Some => break,
            Read::Closed => return Err(Error::Closed),
            Read::Pending => {}
        }
        let left = deadline.saturating_sub(clock.monotonic());
        if left.is_zero() {
            return Err(Error::Unanswered(login.timeout));
        }
        stream.wait(left);
    }
    match answer.as_slice() {
        b"S" => Ok(stream.start_tls(&login.tls)?),
        b"N" if login.ssl == SslMode::Prefer => Ok(()),
        b"N" => {
            let reason = Reason::coded("postgres.tls_refused", "the server does not speak TLS");
            let remedy =
                "Set `ssl = on` with a certificate in postgresql.conf, or `database.sslmode` to `prefer` or `disable`.";
            Err(Fault::error("database.sslmode", reason.remedy(remedy)).into())
        }
        // Anything after the one byte was not sent under TLS, and might be somebody else's.
        _ => Err(Error::Network(NetworkError::Tls("the server gave no answer to the request for TLS".into()))),
    }
}
