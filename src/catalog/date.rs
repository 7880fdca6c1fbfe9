//! A calendar day, as the catalogue's tables write it.

use std::fmt;

/// A day, `YYYY-MM-DD`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// Reads `YYYY-MM-DD`. None where it is no day of the calendar.
    pub fn parse(text: &str) -> Option<Self> {
        let field = |from: usize, to: usize| {
            let digits = text.get(from..to)?;
            digits
                .bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| digits.parse::<u16>().ok())?
        };
        let bytes = text.as_bytes();
        if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
            return None;
        }
        let date = Self {
            year: field(0, 4)?,
            month: u8::try_from(field(5, 7)?).ok()?,
            day: u8::try_from(field(8, 10)?).ok()?,
        };
        // A day that is none comes back as another.
        (Self::from_days(date.days()) == Some(date)).then_some(date)
    }

    /// Days since 1970-01-01.
    pub fn days(self) -> i32 {
        // Years that start in March put the leap day last.
        let shifted = i32::from(self.year) - i32::from(self.month <= 2);
        let era = shifted.div_euclid(400);
        let of_era = shifted.rem_euclid(400);
        let month = (i32::from(self.month) + 9) % 12;
        let of_year = (153 * month + 2) / 5 + i32::from(self.day) - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    }

    /// The day so many days after 1970-01-01. None outside the years 0 to 9999.
    pub fn from_days(days: i32) -> Option<Self> {
        let days = days.checked_add(719_468)?;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year + era * 400 + i32::from(month <= 2);
        let year = u16::try_from(year).ok().filter(|year| *year <= 9999)?;
        Some(Self {
            year,
            month: u8::try_from(month).ok()?,
            day: u8::try_from(day).ok()?,
        })
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_days() {
        let day = |text| Date::parse(text).map(Date::days);
        assert_eq!(day("1970-01-01"), Some(0));
        assert_eq!(day("2000-02-29"), Some(11_016));
        assert_eq!(day("2026-08-21"), Some(20_686));
        for wrong in [
            "2023-02-29",
            "2023-13-01",
            "2023-00-10",
            "2023-1-1",
            "2023-04-31",
            "+023-04-01",
            "",
        ] {
            assert_eq!(Date::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn days_and_text_go_both_ways(days in -700_000..2_900_000i32) {
            let date = Date::from_days(days).unwrap();
            prop_assert_eq!(date.days(), days);
            prop_assert_eq!(Date::parse(&date.to_string()), Some(date));
        }
    }
}
