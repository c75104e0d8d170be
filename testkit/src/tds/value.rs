//! Values of rows and parameters, and their encoding.

use super::reader::{Reader, utf16};

/// Days from 0001-01-01, where DATETIME2 begins, to 1970-01-01.
const DAYS_TO_1970: i64 = 719_162;
const MICROS_OF_DAY: i64 = 86_400_000_000;
/// Maximum length of NVARCHAR in UTF-16 units. Longer strings are NVARCHAR(MAX).
const NVARCHAR_MAX: usize = 4_000;
/// Maximum length of VARBINARY in bytes. Longer values are VARBINARY(MAX).
const VARBINARY_MAX: usize = 8_000;
/// Latin1_General, as SQL Server sends it with text columns.
const COLLATION: [u8; 5] = [0x09, 0x04, 0xD0, 0x00, 0x34];

const NULL: u8 = 0x1F;
const INTN: u8 = 0x26;
const DATETIME2: u8 = 0x2A;
const BITN: u8 = 0x68;
const DECIMALN: u8 = 0x6A;
const NUMERICN: u8 = 0x6C;
const VARBINARY: u8 = 0xA5;
const NVARCHAR: u8 = 0xE7;

/// The type of a column. All columns are nullable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bit,
    TinyInt,
    Int,
    BigInt,
    /// NVARCHAR(4000), or NVARCHAR(MAX) if one of the values is longer.
    NVarChar,
    /// DECIMAL(19,4).
    Decimal,
    /// DATETIME2(6).
    DateTime2,
    /// VARBINARY(8000), or VARBINARY(MAX) if one of the values is longer.
    VarBinary,
}

/// A value in a row, or of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    Null,
    Bit(bool),
    TinyInt(u8),
    /// A SMALLINT parameter is read as an INT, too.
    Int(i32),
    BigInt(i64),
    NVarChar(String),
    /// DECIMAL in units of 1/10,000: `149.99` is 1,499,900.
    Decimal(i128),
    /// DATETIME2 in microseconds since 1970-01-01 00:00.
    DateTime2(i64),
    VarBinary(Vec<u8>),
}

impl Cell {
    fn kind(&self) -> Option<Kind> {
        Some(match self {
            Self::Null => return None,
            Self::Bit(_) => Kind::Bit,
            Self::TinyInt(_) => Kind::TinyInt,
            Self::Int(_) => Kind::Int,
            Self::BigInt(_) => Kind::BigInt,
            Self::NVarChar(_) => Kind::NVarChar,
            Self::Decimal(_) => Kind::Decimal,
            Self::DateTime2(_) => Kind::DateTime2,
            Self::VarBinary(_) => Kind::VarBinary,
        })
    }

    /// Whether the value is allowed in a column of that type.
    pub(super) fn fits(&self, column: Kind) -> bool {
        self.kind().is_none_or(|kind| kind == column)
    }

    fn is_long(&self) -> bool {
        match self {
            Self::NVarChar(text) => text.encode_utf16().count() > NVARCHAR_MAX,
            Self::VarBinary(bytes) => bytes.len() > VARBINARY_MAX,
            _ => false,
        }
    }
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Self::Bit(value)
    }
}

impl From<u8> for Cell {
    fn from(value: u8) -> Self {
        Self::TinyInt(value)
    }
}

impl From<i32> for Cell {
    fn from(value: i32) -> Self {
        Self::Int(value)
    }
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self::BigInt(value)
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::NVarChar(value.to_owned())
    }
}

impl From<String> for Cell {
    fn from(value: String) -> Self {
        Self::NVarChar(value)
    }
}

impl From<Vec<u8>> for Cell {
    fn from(value: Vec<u8>) -> Self {
        Self::VarBinary(value)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The encoding of a column: its type, and whether its length is unlimited.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    kind: Kind,
    long: bool,
}

impl Layout {
    pub(super) fn of<'a>(kind: Kind, mut cells: impl Iterator<Item = &'a Cell>) -> Self {
        Self { kind, long: cells.any(Cell::is_long) }
    }

    /// Writes TYPE_INFO.
    pub(super) fn describe(self, out: &mut Vec<u8>) {
        let length = |limit: u16| if self.long { [0xFF; 2] } else { limit.to_le_bytes() };
        match self.kind {
            Kind::Bit => out.extend([BITN, 1]),
            Kind::TinyInt => out.extend([INTN, 1]),
            Kind::Int => out.extend([INTN, 4]),
            Kind::BigInt => out.extend([INTN, 8]),
            Kind::Decimal => out.extend([DECIMALN, 9, 19, 4]),
            Kind::DateTime2 => out.extend([DATETIME2, 6]),
            Kind::NVarChar => {
                out.push(NVARCHAR);
                out.extend(length(8_000));
                out.extend(COLLATION);
            }
            Kind::VarBinary => {
                out.push(VARBINARY);
                out.extend(length(8_000));
            }
        }
    }

    pub(super) fn write(self, cell: &Cell, out: &mut Vec<u8>) {
        let mut short = |value: &[u8]| {
            out.push(u8::try_from(value.len()).unwrap());
            out.extend(value);
        };
        match cell {
            Cell::Null if matches!(self.kind, Kind::NVarChar | Kind::VarBinary) => {
                out.extend([0xFF_u8; 8].iter().take(if self.long { 8 } else { 2 }));
            }
            Cell::Null => short(&[]),
            Cell::Bit(value) => short(&[u8::from(*value)]),
            Cell::TinyInt(value) => short(&[*value]),
            Cell::Int(value) => short(&value.to_le_bytes()),
            Cell::BigInt(value) => short(&value.to_le_bytes()),
            Cell::Decimal(units) => {
                let magnitude = u64::try_from(units.unsigned_abs()).expect("fits DECIMAL(19,4)");
                let mut value = vec![u8::from(*units >= 0)];
                value.extend(magnitude.to_le_bytes());
                short(&value);
            }
            Cell::DateTime2(micros) => {
                let days = micros.div_euclid(MICROS_OF_DAY) + DAYS_TO_1970;
                let mut value = micros.rem_euclid(MICROS_OF_DAY).to_le_bytes()[..5].to_vec();
                value.extend(&u32::try_from(days).expect("not before year 1").to_le_bytes()[..3]);
                short(&value);
            }
            Cell::NVarChar(text) => {
                self.write_long(&text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>(), out);
            }
            Cell::VarBinary(bytes) => self.write_long(bytes, out),
        }
    }

    /// Writes the length and the value. Types without a limit have chunks, and the last one is empty.
    fn write_long(self, bytes: &[u8], out: &mut Vec<u8>) {
        if !self.long {
            out.extend(u16::try_from(bytes.len()).unwrap().to_le_bytes());
            out.extend(bytes);
            return;
        }
        out.extend((bytes.len() as u64).to_le_bytes());
        for chunk in bytes.chunks(8_000) {
            out.extend(u32::try_from(chunk.len()).unwrap().to_le_bytes());
            out.extend(chunk);
        }
        out.extend([0; 4]);
    }
}

/// Reads TYPE_INFO and value of a parameter.
///
/// # Panics
/// On types that Millrace does not send.
pub(super) fn read_parameter(from: &mut Reader<'_>) -> Cell {
    match from.u8() {
        NULL => Cell::Null,
        BITN => read_short(from, 1, |value| Cell::Bit(value[0] != 0)),
        INTN => read_short(from, 1, |value| match value.len() {
            1 => Cell::TinyInt(value[0]),
            2 => Cell::Int(i16::from_le_bytes(value.try_into().unwrap()).into()),
            4 => Cell::Int(i32::from_le_bytes(value.try_into().unwrap())),
            _ => Cell::BigInt(i64::from_le_bytes(value.try_into().unwrap())),
        }),
        DECIMALN | NUMERICN => {
            let scale = u32::from(from.bytes(3)[2]);
            read_short(from, 0, |value| {
                let magnitude = i128::try_from(unsigned(&value[1..])).unwrap();
                let units = if value[0] == 0 { -magnitude } else { magnitude };
                Cell::Decimal(units * 10_i128.pow(4_u32.checked_sub(scale).expect("at most 4 decimals")))
            })
        }
        DATETIME2 => {
            let scale = u32::from(from.u8());
            read_short(from, 0, |value| {
                let (time, days) = value.split_at(value.len() - 3);
                let time = unsigned(time) * 1_000_000 / 10_u128.pow(scale);
                let days = i64::try_from(unsigned(days)).unwrap() - DAYS_TO_1970;
                Cell::DateTime2(days * MICROS_OF_DAY + i64::try_from(time).unwrap())
            })
        }
        NVARCHAR => {
            let limit = from.u16();
            from.bytes(COLLATION.len());
            read_long(from, limit).map(|bytes| utf16(&bytes)).into()
        }
        VARBINARY => {
            let limit = from.u16();
            read_long(from, limit).into()
        }
        other => panic!("the TDS peer does not support parameters of type {other:#04x}"),
    }
}

/// A value of at most 255 bytes, after `skipped` bytes with the size of its type.
fn read_short(from: &mut Reader<'_>, skipped: usize, cell: impl FnOnce(&[u8]) -> Cell) -> Cell {
    from.bytes(skipped);
    let length = usize::from(from.u8());
    let value = from.bytes(length);
    if value.is_empty() { Cell::Null } else { cell(value) }
}

fn read_long(from: &mut Reader<'_>, limit: u16) -> Option<Vec<u8>> {
    if limit != u16::MAX {
        let length = from.u16();
        return (length != u16::MAX).then(|| from.bytes(length.into()).to_vec());
    }
    if from.u64() == u64::MAX {
        return None;
    }
    let mut value = Vec::new();
    loop {
        match from.u32() {
            0 => return Some(value),
            length => value.extend(from.bytes(usize::try_from(length).unwrap())),
        }
    }
}

/// A little-endian integer of up to 16 bytes.
fn unsigned(bytes: &[u8]) -> u128 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u128::from(*byte))
}
