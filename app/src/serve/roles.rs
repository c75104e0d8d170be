//! The roles of a process.

use crate::cli::Settings;

/// Which roles this process has.
#[derive(Debug, Clone, Copy)]
pub struct Roles {
    pub(super) commands: bool,
    pub(super) projector: bool,
    pub(super) read_side: bool,
    /// The sample shop and the simulator, which belong to the process that runs everything.
    pub(super) shop: bool,
}

impl Roles {
    /// `millrace`
    pub const ALL: Self = Self { commands: true, projector: true, read_side: true, shop: true };
    /// `millrace write-side`
    pub const WRITE_SIDE: Self = Self { read_side: false, shop: false, ..Self::ALL };
    /// `millrace commands`
    pub const COMMANDS: Self = Self { projector: false, ..Self::WRITE_SIDE };
    /// `millrace projector`
    pub const PROJECTOR: Self = Self { commands: false, ..Self::WRITE_SIDE };
    /// `millrace read-side`
    pub const READ_SIDE: Self = Self { read_side: true, commands: false, projector: false, shop: false };

    /// Whether a new log is filled with the sample shop.
    pub(super) fn has_sample(self, settings: &Settings) -> bool {
        self.shop && settings.sample.is_on() && !settings.no_sample
    }
}
