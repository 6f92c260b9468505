use raincheck_upstream::Network;

use super::reader::Reader;

/// `[egress]`: where outgoing connections may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Egress {
    /// Networks that are not public and may be called all the same.
    pub(crate) allow: Vec<Network>,
}

impl Egress {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self { allow: reader.section("egress").get("allow", Vec::new()) }
    }
}
