//! Variables that a user chooses at the top of a dashboard and that queries refer to.

/// A variable that can be chosen at the top of a dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Deployments, by the operator's name for them.
    Environment,
    /// Processes, by `service.instance.id`.
    Instance,
    /// Route templates.
    Route,
    /// A request id, as shown to users.
    RequestId,
}

impl Choice {
    /// The variables that narrow charts about the application.
    pub const PROCESSES: &'static [Self] = &[Self::Environment, Self::Instance];

    /// Returns the name of the variable in queries.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Environment => "$environment",
            Self::Instance => "$instance",
            Self::Route => "$route",
            Self::RequestId => "${request_id}",
        }
    }

    /// Returns the name of the variable in addresses.
    pub fn name(self) -> &'static str {
        self.variable().trim_matches(['$', '{', '}'])
    }
}
