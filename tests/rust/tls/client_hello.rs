//! A minimal parser of `ClientHello` (RFC 8446, section 4.1.2).

/// The parts of a `ClientHello` that the tests check, and the bytes after its record.
pub(super) struct ClientHello {
    pub(super) supported_groups: Vec<u16>,
    pub(super) key_shares: Vec<u16>,
    pub(super) supported_versions: Vec<u16>,
    pub(super) rest: Vec<u8>,
}

const RECORD_HEADER: usize = 5;

/// Returns whether the first record has arrived completely.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    bytes.len() >= RECORD_HEADER
        && bytes.len() >= RECORD_HEADER + usize::from(u16::from_be_bytes([bytes[3], bytes[4]]))
}

impl ClientHello {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        assert!(is_whole(bytes), "incomplete record: {bytes:x?}");
        let mut reader = Reader(bytes);
        assert_eq!(reader.u8(), 0x16, "the record is not a handshake");
        assert_eq!(reader.u16() >> 8, 0x03, "the record is not TLS");
        let mut record = Reader(reader.vector16());
        let rest = reader.0.to_vec();
        assert_eq!(record.u8(), 0x01, "the handshake message is not a ClientHello");
        let length = record.take(3);
        assert_eq!(record.0.len(), usize::from(length[1]) << 8 | usize::from(length[2]));
        assert_eq!(record.u16(), 0x0303, "the version of the ClientHello");
        record.take(32);
        record.vector8();
        record.vector16();
        record.vector8();
        let mut extensions = Reader(record.vector16());
        assert!(record.0.is_empty());
        let mut hello = Self {
            supported_groups: Vec::new(),
            key_shares: Vec::new(),
            supported_versions: Vec::new(),
            rest,
        };
        while !extensions.0.is_empty() {
            let (kind, mut data) = (extensions.u16(), Reader(extensions.vector16()));
            match kind {
                10 => hello.supported_groups = numbers(data.vector16()),
                43 => hello.supported_versions = numbers(data.vector8()),
                51 => {
                    let mut shares = Reader(data.vector16());
                    while !shares.0.is_empty() {
                        hello.key_shares.push(shares.u16());
                        shares.vector16();
                    }
                }
                _ => {}
            }
        }
        hello
    }
}

fn numbers(bytes: &[u8]) -> Vec<u16> {
    bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect()
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn u8(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn u16(&mut self) -> u16 {
        let bytes = self.take(2);
        u16::from_be_bytes([bytes[0], bytes[1]])
    }

    /// A vector whose length is one byte.
    fn vector8(&mut self) -> &'a [u8] {
        let length = usize::from(self.u8());
        self.take(length)
    }

    /// A vector whose length is two bytes.
    fn vector16(&mut self) -> &'a [u8] {
        let length = usize::from(self.u16());
        self.take(length)
    }
}
