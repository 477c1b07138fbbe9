//! The known mistakes. Their names are stable; the explanations say what to change.

macro_rules! causes {
    ($($variant:ident = $name:literal: $explanation:literal,)*) => {
        /// Why a portal refuses a header.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the explanations are below")]
        pub enum Cause {
            $($variant,)*
        }

        impl Cause {
            /// Every cause.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Returns what to change: ASCII, without any part of the header.
            #[must_use]
            pub fn explanation(self) -> &'static str {
                match self {
                    $(Self::$variant => $explanation,)*
                }
            }
        }
    };
}

causes! {
    // The header.
    HeaderMissing = "header-missing": "send an Authorization header: LMv1 ACCESS_ID:SIGNATURE:EPOCH",
    Scheme = "scheme": "begin the header with LMv1, in this spelling, and one space",
    HeaderFields = "header-fields": "write three fields after LMv1, separated by colons: access id, signature, epoch",
    FieldOrder = "field-order": "order the fields as access id, signature, epoch",
    HeaderQuotes = "header-quotes": "remove the quotation marks from the header",
    HeaderWhiteSpace = "header-white-space":
        "remove white space and line breaks from the header (base64 breaks long lines: use base64 -w0 or openssl base64 -A)",
    HeaderPercentEncoded = "header-percent-encoded": "do not percent-encode the header",
    BytesRepr = "bytes-repr": "decode bytes to text, as in signature.decode(): b'...' is Python's notation for bytes",
    AccessId = "access-id": "use the access id that belongs to the access key: the header names another one",
    UnknownAccessId = "unknown-access-id": "use the access id of an LMv1 token: no such token has the one in the header",
    // The encoding of the signature.
    Signature = "signature": "encode the signature as base64 of the hex digits of an HMAC-SHA256: it is not a digest",
    RawDigest = "raw-digest": "encode the digest as lower-case hex digits before base64: the raw bytes are encoded",
    HexWithoutBase64 = "hex-without-base64": "encode the hex digits of the digest with base64",
    DoubleBase64 = "double-base64": "encode with base64 once, not twice",
    UrlSafeBase64 = "url-safe-base64": "use the standard base64 alphabet with + and /, not the URL-safe one",
    MissingPadding = "missing-padding": "keep the = padding at the end of the base64 text",
    UpperCaseHex = "upper-case-hex": "write the hex digits of the digest in lower case",
    HexSeparators = "hex-separators":
        "remove the separators between the hex digits, as in [BitConverter]::ToString($digest).Replace('-', '')",
    HexLineBreak = "hex-line-break": "remove the line break after the hex digits before base64 (echo adds one: use printf)",
    DigestLabel = "digest-label": "encode only the hex digits, without the label that openssl or sha256sum prints with them",
    Sha1 = "sha-1": "use HMAC-SHA256, not SHA-1",
    Sha512 = "sha-512": "use HMAC-SHA256, not SHA-512",
    PlainHash = "plain-hash": "use an HMAC with the access key, not a plain hash",
    SwappedArguments = "swapped-arguments": "pass the access key as the key of the HMAC and the string to sign as its message",
    Utf16 = "utf-16": "encode text as UTF-8, not UTF-16 (in PowerShell [Text.Encoding]::UTF8, not Unicode)",
    // The access key.
    KeyEmpty = "key-empty": "check the variable with the access key: the key of the HMAC is empty",
    KeyIsAccessId = "key-is-access-id": "use the access key as the key of the HMAC, not the access id",
    KeyWhiteSpace = "key-white-space": "remove the white space or line break around the access key",
    KeyQuotes = "key-quotes": "remove the quotation marks around the access key",
    KeyBase64Decoded = "key-base64-decoded": "use the access key as it is: do not decode it with base64",
    KeyBase64Encoded = "key-base64-encoded": "use the access key as it is: do not encode it with base64",
    KeyPercentEncoding = "key-percent-encoding": "use the access key as it is: do not percent-encode or percent-decode it",
    KeyExpanded = "key-expanded":
        "put the access key in single quotes: a shell replaced the characters after $ or removed a backslash",
    KeyTruncated = "key-truncated": "quote the access key: it was cut at a # or =, or at its last character",
    // The string to sign.
    PartOrder = "part-order": "order the string to sign as method, epoch, body, path",
    PartSeparators = "part-separators": "join the parts of the string to sign without separators",
    StringLineBreak = "string-line-break": "remove the line break at the end of the string to sign (echo adds one: use printf)",
    OtherMethod = "other-method": "sign the method that is sent: another one is signed",
    MethodCase = "method-case": "sign the method in upper case",
    MethodMissing = "method-missing": "sign the method: it is missing in the string to sign",
    EpochUnit = "epoch-unit": "give the epoch in milliseconds, as 13 digits, not in seconds or with a fraction",
    EpochDiffers = "epoch-differs": "sign the epoch that is in the header: read the clock once",
    EpochMissing = "epoch-missing": "sign the epoch: it is missing in the string to sign",
    BodyMissing = "body-missing": "sign the body that is sent: it is missing in the string to sign",
    BodyNotSent = "body-not-sent": "do not sign a body that is not sent: requests such as GET have none",
    BodyWhiteSpace = "body-white-space":
        "sign and send the same bytes: the signed JSON has other white space (serialize it once, and send that text)",
    BodyKeyOrder = "body-key-order":
        "sign and send the same bytes: the signed JSON has its keys in another order (serialize it once, and send that text)",
    BodyEscapes = "body-escapes":
        "sign and send the same bytes: only one of them has escapes such as \\u0026 or \\/ (serialize the JSON once, and send that text)",
    BodyLineBreak = "body-line-break": "sign and send the same bytes: only one of them ends with a line break",
    BodyRepr = "body-repr": "sign the JSON text that is sent, not the notation of an object of the language",
    BodyDoubleEncoded = "body-double-encoded": "sign and send the same bytes: one of them is serialized to JSON twice",
    BodyCharset = "body-charset": "sign and send the body in UTF-8: one of them has another character set",
    RestPrefix = "rest-prefix": "sign the path after /santaba/rest, without this prefix",
    Host = "host": "sign the path after /santaba/rest only, without scheme and host",
    Query = "query": "sign the path without the query",
    PathEncoding = "path-encoding": "sign the percent-decoded path",
    LeadingSlash = "leading-slash": "begin the signed path with a slash",
    TrailingSlash = "trailing-slash": "sign and send the same path: only one of them ends with a slash",
    DoubleSlash = "double-slash": "sign and send the same path: only one of them has two slashes in a row",
    PathWhiteSpace = "path-white-space": "remove the white space after the path",
    PathMissing = "path-missing": "sign the path: it is missing in the string to sign",
    // The time, and everything else.
    TimeWindow = "time-window":
        "sign each request just before it is sent and correct the clock: the epoch is not within 30 minutes of the portal's time",
    Unknown = "unknown":
        "no known mistake gives this signature: check that the access key belongs to the access id, and that method, path and \
         body are those of the request",
}
