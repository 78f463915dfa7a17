//! SOCKS5 towards a forward proxy (RFC 1928), with a name and a password if there are some (RFC 1929).

use std::fmt;
use std::io;
use std::net::IpAddr;

use dataplane_core::Credentials;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::via::{Via, ViaError};

const VERSION: u8 = 5;
/// Methods of saying who one is (RFC 1928 section 3).
const NOBODY: u8 = 0;
const PASSWORD: u8 = 2;
const NONE_OF_THESE: u8 = 255;
/// Kinds of addresses (section 5).
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// What a proxy said instead of "succeeded".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It takes none of the methods, without and with credentials.
    Method {
        credentials: bool,
    },
    Credentials,
    /// Section 6.
    Reply(u8),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reply = match self {
            Self::Method { credentials: false } => return f.write_str("it wants credentials"),
            Self::Method { credentials: true } => {
                return f.write_str("it takes neither nobody nor a principal with a password");
            }
            Self::Credentials => return f.write_str("it wants other credentials"),
            Self::Reply(reply) => *reply,
        };
        let sentence = match reply {
            1 => "general failure",
            2 => "its rules don't allow this target",
            3 => "the network is unreachable",
            4 => "the host is unreachable",
            5 => "the connection was refused",
            6 => "the way is too long",
            7 => "it doesn't know how to connect",
            8 => "it doesn't know this kind of address",
            _ => "for a reason that has no name",
        };
        write!(f, "{sentence} (reply {reply})")
    }
}

/// Has the proxy at the other end of `io` connect to the target, and reads its answer to its very end.
pub(super) async fn open<T>(via: &Via<'_>, io: &mut T) -> Result<(), ViaError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    greet(io, via.proxy.credentials.as_ref()).await?;
    send(io, &request(via)).await?;
    via.is_being_asked();
    let [version, reply, _, kind] = read(io).await?;
    match (version, reply) {
        (VERSION, 0) => {}
        // What the target's side said, or the proxy about it.
        (VERSION, 1 | 3..=6) => return Err(ViaError::SocksFailed(Refusal::Reply(reply))),
        (VERSION, _) => return Err(ViaError::SocksRefused(Refusal::Reply(reply))),
        _ => return Err(ViaError::NotSocks),
    }
    // The address and the port that the proxy connected from say nothing that anybody needs.
    let address = match kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => usize::from(io.read_u8().await?),
        _ => return Err(ViaError::NotSocks),
    };
    let mut bound = [0; u8::MAX as usize + 2];
    io.read_exact(bound.get_mut(..address + 2).unwrap_or_default()).await?;
    Ok(())
}

/// Section 4.
fn request(via: &Via<'_>) -> Vec<u8> {
    const CONNECT: u8 = 1;
    let mut request = vec![VERSION, CONNECT, 0];
    let target = via.target;
    match target.ip {
        Some(IpAddr::V4(ip)) => {
            request.push(IPV4);
            request.extend(ip.octets());
        }
        Some(IpAddr::V6(ip)) => {
            request.push(IPV6);
            request.extend(ip.octets());
        }
        None => {
            request.push(NAME);
            push(&mut request, target.hostname);
        }
    }
    request.extend(target.port.to_be_bytes());
    request
}

/// Agrees on how the worker says who it is, and says so.
async fn greet<T>(io: &mut T, credentials: Option<&Credentials>) -> Result<(), ViaError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let methods: &[u8] = match credentials {
        None => &[VERSION, 1, NOBODY],
        Some(_) => &[VERSION, 2, NOBODY, PASSWORD],
    };
    send(io, methods).await?;
    match (read(io).await?, credentials) {
        ([VERSION, NOBODY], _) => Ok(()),
        ([VERSION, PASSWORD], Some(credentials)) => authenticate(io, credentials).await,
        ([VERSION, NONE_OF_THESE], _) => {
            Err(ViaError::SocksRefused(Refusal::Method { credentials: credentials.is_some() }))
        }
        _ => Err(ViaError::NotSocks),
    }
}

/// RFC 1929.
async fn authenticate<T>(io: &mut T, credentials: &Credentials) -> Result<(), ViaError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    const NEGOTIATION: u8 = 1;
    let Credentials { principal, password } = credentials;
    let mut request = vec![NEGOTIATION];
    push(&mut request, principal);
    push(&mut request, password);
    send(io, &request).await?;
    match read(io).await? {
        // Some proxies answer with the version of SOCKS.
        [_, 0] => Ok(()),
        _ => Err(ViaError::SocksRefused(Refusal::Credentials)),
    }
}

/// Appends a text, which has at most 255 bytes, with its length in front.
fn push(out: &mut Vec<u8>, text: &str) {
    let text = text.as_bytes().get(..usize::from(u8::MAX)).unwrap_or(text.as_bytes());
    out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(text);
}

async fn send<T: AsyncWrite + Unpin>(io: &mut T, bytes: &[u8]) -> io::Result<()> {
    io.write_all(bytes).await?;
    io.flush().await
}

async fn read<T: AsyncRead + Unpin, const N: usize>(io: &mut T) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    io.read_exact(&mut bytes).await?;
    Ok(bytes)
}
