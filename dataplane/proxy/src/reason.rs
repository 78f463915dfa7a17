use http::StatusCode;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal;)*) => {
        /// Why the proxy itself answered, or gave up after the answer had begun. A closed list: it is the `reason` of
        /// error answers and a label of metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word of answers and metrics.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            const fn code(self) -> u16 {
                match self {
                    $(Self::$name => $status,)*
                }
            }
        }
    };
}

reasons! {
    /// The head breaks RFC 9112 in a way that has no entry of its own.
    MalformedHead = "malformed_head", 400;
    /// `Content-Length` and `Transfer-Encoding` are both there, repeated or not plain.
    BadFraming = "bad_framing", 400;
    /// No `Host`, more than one, or one that isn't a host name or IP address.
    BadHost = "bad_host", 400;
    /// The path has characters or dot segments that can't be routed safely.
    BadPath = "bad_path", 400;
    /// The chunked body breaks RFC 9112 section 7.1.
    BadChunk = "bad_chunk", 400;
    HeadTooLarge = "head_too_large", 431;
    TargetTooLong = "target_too_long", 414;
    TrailersTooLarge = "trailers_too_large", 431;
    UnsupportedVersion = "unsupported_version", 505;
    UnsupportedTransferCoding = "unsupported_transfer_coding", 501;
    ConnectRefused = "connect_refused", 405;
    /// A chunked body for a target that speaks HTTP/1.0.
    LengthRequired = "length_required", 411;
    /// More than the route's limit.
    BodyTooLarge = "body_too_large", 413;
    /// The route doesn't serve the client's address.
    AddressDenied = "address_denied", 403;
    /// The route, or the client, has had the requests of its second or minute.
    RateLimited = "rate_limited", 429;
    /// The route, or the client, has had the requests of its day or month.
    QuotaExceeded = "quota_exceeded", 429;
    ExpectationFailed = "expectation_failed", 417;
    HeadTimeout = "head_timeout", 408;
    BodyTimeout = "body_timeout", 408;
    /// The client closed before its request was complete or its answer was written.
    ClientGone = "client_gone", 499;
    /// The listener expects a header of the PROXY protocol, and the connection begins with something else.
    BadProxyHeader = "bad_proxy_header", 499;
    /// The client and a listener found no way to speak TLS with each other.
    TlsHandshakeFailed = "tls_handshake_failed", 499;
    /// The client didn't get through the handshake in time.
    TlsHandshakeTimeout = "tls_handshake_timeout", 499;
    /// The listener speaks TLS, and the client doesn't.
    PlainHttp = "plain_http", 400;
    /// The client did not read its answer for too long.
    ClientStalled = "client_stalled", 499;
    /// No router has been given yet.
    NotReady = "not_ready", 503;
    NoRoute = "no_route", 404;
    RouteHeld = "route_held", 503;
    NoTarget = "no_target", 503;
    /// The circuit breakers of the targets are open.
    BreakerOpen = "breaker_open", 503;
    /// As many requests as may wait for a connection to the target do already.
    QueueFull = "queue_full", 503;
    /// No connection to the target became free in time.
    QueueTimeout = "queue_timeout", 504;
    /// The backend's root did not expand to a path.
    BadRewrite = "bad_rewrite", 502;
    ResolveFailed = "resolve_failed", 502;
    ConnectionFailed = "connection_failed", 502;
    /// The backend's forward proxy can't be connected to, or broke off, or doesn't answer as one.
    ProxyUnreachable = "proxy_unreachable", 502;
    /// The forward proxy doesn't take the credentials, or doesn't connect to this target.
    ProxyRefused = "proxy_refused", 502;
    /// The forward proxy couldn't be told in time where to lead.
    ProxyTimeout = "proxy_timeout", 504;
    /// TLS with the target failed, or what the backend says about it can't be used.
    TlsFailed = "tls_failed", 502;
    ConnectionTimeout = "connection_timeout", 504;
    CallTimeout = "call_timeout", 504;
    GlobalTimeout = "global_timeout", 504;
    IdleTimeout = "idle_timeout", 504;
    CallAndStreamTimeout = "call_and_stream_timeout", 504;
    /// The target closed before a whole response.
    UpstreamClosed = "upstream_closed", 502;
    /// The client asks to switch protocols, and the target speaks HTTP/2 and doesn't offer that.
    UpgradeRefused = "upgrade_refused", 502;
    /// The target's response breaks HTTP/1.1 or can't be framed safely.
    UpstreamMalformed = "upstream_malformed", 502;
    /// The proxy stopped before the exchange was complete.
    Stopped = "stopped", 503;
}

impl Reason {
    /// The status to answer with. 499 stands for "no answer could be sent" and is never written.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(crate) const fn is_answered(self) -> bool {
        self.code() != 499
    }

    /// It says something about the target that this happened.
    pub(crate) const fn blames_target(self) -> bool {
        // One that is busy isn't broken.
        let is_busy = matches!(self, Self::QueueFull | Self::QueueTimeout);
        // Nobody asked it.
        let is_the_proxys = matches!(self, Self::ProxyUnreachable | Self::ProxyRefused | Self::ProxyTimeout);
        let is_wrong = matches!(self, Self::GlobalTimeout | Self::UpstreamMalformed);
        !is_busy && !is_the_proxys && (self.is_retryable() || is_wrong)
    }

    /// Another attempt may end better: not where there is no time left, nor where what the target said is wrong.
    pub(crate) const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::ResolveFailed
                | Self::ConnectionFailed
                | Self::ProxyUnreachable
                | Self::ProxyRefused
                | Self::ProxyTimeout
                | Self::TlsFailed
                | Self::ConnectionTimeout
                | Self::QueueFull
                | Self::QueueTimeout
                | Self::CallTimeout
                | Self::CallAndStreamTimeout
                | Self::IdleTimeout
                | Self::UpstreamClosed
        )
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}
