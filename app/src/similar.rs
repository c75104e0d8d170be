//! Finds the name that was probably meant. Pure.

/// The candidate with the smallest edit distance to `name`, if there is one of at most `distance_max`.
pub fn closest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    distance_max: usize,
) -> Option<&'a str> {
    let measured = candidates.into_iter().map(|candidate| (distance(name, candidate), candidate));
    measured.filter(|(distance, _)| *distance <= distance_max).min().map(|(_, candidate)| candidate)
}

/// Insertions, removals, replacements of a character and exchanges of two neighbours that turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before_last[j - 2] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("", "abc", 3),
            ("info", "info", 0),
            ("inof", "info", 1),
            ("TLS_KEYS", "TLS_KEY", 1),
            ("EVENTLOG", "EVENT_LOG", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn the_closest_name_is_found() {
        let names = ["TLS_KEY", "TLS_CERT", "METRICS_ADDR"];
        assert_eq!(closest("TLS_KEYS", names, 2), Some("TLS_KEY"));
        assert_eq!(closest("METRIC_ADRR", names, 2), Some("METRICS_ADDR"));
        assert_eq!(closest("SSL_CERT", names, 1), None);
        assert_eq!(closest("HOME", names, 2), None);
    }
}
