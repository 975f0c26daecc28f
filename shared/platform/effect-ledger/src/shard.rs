//! The partitions of the index of open effects.

use crate::Subject;

/// An outage leaves thousands of effects to be tried again, and a partition takes a thousand writes a second.
pub(crate) const SHARDS: u32 = 16;

/// The partition of the index that a subject's open effects are in.
///
/// FNV-1a, because the shard of a row must be the same in every version of every function.
/// <https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>
pub(crate) fn open_shard(subject: &Subject) -> String {
    let hash = subject
        .as_str()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    shard_name(hash % SHARDS)
}

/// The name of a partition.
pub(crate) fn shard_name(shard: u32) -> String {
    format!("{shard:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_stays_in_its_shard_from_version_to_version() {
        for (payment_id, expected) in [("pi_1", "02"), ("pi_2", "15"), ("cs_test_a1FixtureMembership", "00")]
        {
            assert_eq!(open_shard(&Subject::new(payment_id)), expected, "{payment_id}");
        }
    }

    #[test]
    fn subjects_spread_over_the_shards() {
        let mut counts = [0_u32; SHARDS as usize];
        for payment in 0..16_000 {
            let shard: usize = open_shard(&Subject::new(format!("pi_{payment}"))).parse().unwrap();
            counts[shard] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }
}
