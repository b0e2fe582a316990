//! Numbers for people: with groups of digits, with units.

use std::fmt::{self, Display, Formatter};

/// A number in groups of three digits, parted by thin spaces.
pub struct Grouped(pub u64);

impl Display for Grouped {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_str("\u{202f}")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// Bytes in the largest unit that leaves a whole number, with one decimal place.
pub struct Size(pub u64);

impl Display for Size {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] =
            [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match UNITS.iter().find(|(unit, _)| self.0 >= *unit) {
            Some((unit, name)) if self.0.is_multiple_of(*unit) => write!(f, "{} {name}", self.0 / unit),
            Some((unit, name)) => write!(f, "{:.1} {name}", self.0 as f64 / *unit as f64),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

/// A count with its noun.
pub fn counted(count: u64, noun: &str) -> String {
    let ending = match noun {
        _ if count == 1 => "",
        _ if noun.ends_with('s') => "es",
        _ => "s",
    };
    format!("{count} {noun}{ending}")
}

/// Seconds, in the two largest units that matter.
pub struct Uptime(pub u64);

impl Display for Uptime {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (minutes, hours, days) = (self.0 / 60, self.0 / 3600, self.0 / 86_400);
        match self.0 {
            0..60 => write!(f, "{} s", self.0),
            60..3600 => write!(f, "{minutes} min"),
            3600..86_400 => write!(f, "{hours} h {} min", minutes % 60),
            _ => write!(f, "{days} d {} h", hours % 24),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_words() {
        let cases = [
            (Grouped(0).to_string(), "0"),
            (Grouped(999).to_string(), "999"),
            (Grouped(1_234_567).to_string(), "1\u{202f}234\u{202f}567"),
            (Size(0).to_string(), "0 bytes"),
            (Size(1536).to_string(), "1.5 KiB"),
            (Size(256 << 20).to_string(), "256 MiB"),
            (Size(u64::MAX).to_string(), "16777216.0 TiB"),
            (counted(1, "pass"), "1 pass"),
            (counted(2, "pass"), "2 passes"),
            (counted(0, "response"), "0 responses"),
            (Uptime(59).to_string(), "59 s"),
            (Uptime(119).to_string(), "1 min"),
            (Uptime(3 * 3600 + 125).to_string(), "3 h 2 min"),
            (Uptime(200_000).to_string(), "2 d 7 h"),
        ];
        for (shown, expected) in cases {
            assert_eq!(shown, expected);
        }
    }
}
