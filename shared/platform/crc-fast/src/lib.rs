#![doc = include_str!("../README.md")]

/// The algorithms that S3 knows besides the digests.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrcAlgorithm {
    /// CRC-32, as in zip files.
    Crc32IsoHdlc,
    /// CRC-32C.
    Crc32Iscsi,
    /// CRC-64/NVME.
    Crc64Nvme,
}

impl CrcAlgorithm {
    /// The table, and the bits that are set before the first byte and turned over after the last.
    const fn parameters(self) -> (&'static [u64; 256], u64) {
        static CRC_32: [u64; 256] = table(0xedb8_8320);
        static CRC_32C: [u64; 256] = table(0x82f6_3b78);
        static CRC_64: [u64; 256] = table(0x9a6c_9329_ac4b_c9b5);
        match self {
            Self::Crc32IsoHdlc => (&CRC_32, 0xffff_ffff),
            Self::Crc32Iscsi => (&CRC_32C, 0xffff_ffff),
            Self::Crc64Nvme => (&CRC_64, u64::MAX),
        }
    }
}

/// The remainders of all bytes, for a polynomial with its bits in reverse.
const fn table(polynomial: u64) -> [u64; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut remainder = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            remainder = (remainder >> 1) ^ ((remainder & 1) * polynomial);
            bit += 1;
        }
        table[byte] = remainder;
        byte += 1;
    }
    table
}

/// A checksum of bytes that come in pieces.
#[derive(Debug, Clone)]
pub struct Digest {
    algorithm: CrcAlgorithm,
    remainder: u64,
}

impl Digest {
    /// The checksum before the first byte.
    #[must_use]
    pub const fn new(algorithm: CrcAlgorithm) -> Self {
        let (_, ones) = algorithm.parameters();
        Self { algorithm, remainder: ones }
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let (table, _) = self.algorithm.parameters();
        for byte in bytes {
            let [lowest, ..] = self.remainder.to_le_bytes();
            self.remainder = table[usize::from(lowest ^ byte)] ^ (self.remainder >> 8);
        }
    }

    /// The checksum of all bytes so far; one of 32 bits is in the lower half.
    #[must_use]
    pub const fn finalize(&self) -> u64 {
        let (_, ones) = self.algorithm.parameters();
        self.remainder ^ ones
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checksum<'a>(algorithm: CrcAlgorithm, pieces: impl IntoIterator<Item = &'a str>) -> u64 {
        let mut digest = Digest::new(algorithm);
        pieces.into_iter().for_each(|piece| digest.update(piece.as_bytes()));
        digest.finalize()
    }

    /// The check values of <https://reveng.sourceforge.io/crc-catalogue/all.htm>: of the nine digits.
    const CHECKS: [(CrcAlgorithm, u64); 3] = [
        (CrcAlgorithm::Crc32IsoHdlc, 0xcbf4_3926),
        (CrcAlgorithm::Crc32Iscsi, 0xe306_9283),
        (CrcAlgorithm::Crc64Nvme, 0xae8b_1486_0a79_9888),
    ];

    #[test]
    fn agrees_with_the_catalogue_of_checksums_in_whichever_pieces_the_bytes_come() {
        for (algorithm, check) in CHECKS {
            assert_eq!(checksum(algorithm, ["123456789"]), check, "{algorithm:?}");
            assert_eq!(checksum(algorithm, ["1", "", "2345", "6789"]), check, "{algorithm:?}");
            assert_eq!(checksum(algorithm, []), 0, "{algorithm:?}");
        }
    }
}
