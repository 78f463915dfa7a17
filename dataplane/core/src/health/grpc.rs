use prost::Message as _;

use super::{Colour, Judgement};

/// In front of a message: a flag and the length, in bytes.
const PREFIX: usize = 5;

/// A call of `grpc.health.v1.Health/Check`.
#[derive(Debug, PartialEq, Eq)]
pub struct GrpcCheck {
    /// Empty: the server's own health.
    service: Box<str>,
}

/// What a target answered to it.
#[derive(Clone, Copy, Debug)]
pub struct GrpcAnswer<'a> {
    /// Of HTTP.
    pub status: u16,
    /// The value of `grpc-status`, from the trailers or, without a message, from the head.
    pub grpc_status: Option<&'a [u8]>,
    pub body: &'a [u8],
}

#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckResponse {
    #[prost(enumeration = "ServingStatus", tag = "1")]
    status: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
enum ServingStatus {
    Unknown = 0,
    Serving = 1,
    NotServing = 2,
    ServiceUnknown = 3,
}

impl GrpcCheck {
    /// Of the call (<https://github.com/grpc/grpc/blob/master/doc/health-checking.md>).
    pub const PATH: &str = "/grpc.health.v1.Health/Check";

    pub(super) fn new(service: &str) -> Self {
        Self { service: service.into() }
    }

    /// The body of the request: one message.
    pub fn body(&self) -> Vec<u8> {
        let message = HealthCheckRequest { service: self.service.to_string() }.encode_to_vec();
        let mut body = vec![0];
        body.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
        body.extend_from_slice(&message);
        body
    }

    /// Green only if the service says that it serves; any other answer is red.
    pub fn judge(&self, answer: &GrpcAnswer<'_>) -> Judgement {
        if answer.status != 200 {
            return Judgement::new(Colour::Red, format!("status {}", answer.status));
        }
        match answer.grpc_status {
            Some(b"0") => {}
            Some(status) => {
                let status = String::from_utf8_lossy(status);
                return Judgement::new(Colour::Red, format!("grpc-status {status}"));
            }
            None => return Judgement::new(Colour::Red, "no grpc-status"),
        }
        match serving(answer.body) {
            Some(ServingStatus::Serving) => Judgement::new(Colour::Green, "SERVING"),
            Some(ServingStatus::NotServing) => Judgement::new(Colour::Red, "NOT_SERVING"),
            Some(ServingStatus::ServiceUnknown) => Judgement::new(Colour::Red, "SERVICE_UNKNOWN"),
            Some(ServingStatus::Unknown) => Judgement::new(Colour::Red, "UNKNOWN"),
            None => Judgement::new(Colour::Red, "an answer that is no HealthCheckResponse"),
        }
    }
}

/// What the one message says; a compressed one wasn't asked for.
fn serving(body: &[u8]) -> Option<ServingStatus> {
    let (prefix, message) = body.split_at_checked(PREFIX)?;
    let (flag, length) = prefix.split_first()?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    if *flag != 0 || usize::try_from(length).ok()? != message.len() {
        return None;
    }
    ServingStatus::try_from(HealthCheckResponse::decode(message).ok()?.status).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(status: u16, grpc_status: Option<&[u8]>, body: &[u8]) -> (Colour, String) {
        let judgement = GrpcCheck::new("").judge(&GrpcAnswer { status, grpc_status, body });
        (judgement.colour, judgement.reason)
    }

    #[test]
    fn only_serving_is_green() {
        let answer = |status: u8| [0, 0, 0, 0, 2, 8, status];
        assert_eq!(judge(200, Some(b"0"), &answer(1)), (Colour::Green, "SERVING".to_owned()));
        for (status, reason) in [(0, "UNKNOWN"), (2, "NOT_SERVING"), (3, "SERVICE_UNKNOWN")] {
            assert_eq!(judge(200, Some(b"0"), &answer(status)), (Colour::Red, reason.to_owned()));
        }
        // The default isn't written (proto3).
        assert_eq!(judge(200, Some(b"0"), &[0; 5]), (Colour::Red, "UNKNOWN".to_owned()));
        for wrong in [&[][..], &[0, 0, 0, 0], &[1, 0, 0, 0, 2, 8, 1], &[0, 0, 0, 0, 3, 8, 1], &answer(9)] {
            assert_eq!(judge(200, Some(b"0"), wrong).0, Colour::Red, "{wrong:?}");
        }
        assert_eq!(judge(200, Some(b"12"), b""), (Colour::Red, "grpc-status 12".to_owned()));
        assert_eq!(judge(200, None, &answer(1)), (Colour::Red, "no grpc-status".to_owned()));
        assert_eq!(judge(404, None, b""), (Colour::Red, "status 404".to_owned()));
    }

    #[test]
    fn the_service_is_asked_for_by_name() {
        assert_eq!(GrpcCheck::new("").body(), [0, 0, 0, 0, 0]);
        assert_eq!(GrpcCheck::new("a.B").body(), [0, 0, 0, 0, 5, 10, 3, b'a', b'.', b'B']);
    }
}
