//! Settings as texts, before they are checked: `clap` ends at the first wrong value, and all are reported.

use std::collections::BTreeMap;
use std::error::Error;
use std::marker::PhantomData;

use clap::error::Error as ClapError;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::check::Mistakes;
use crate::platform::settings::without_environment;

/// The settings of the group `G` that are given by flags or variables.
pub struct Given<G> {
    /// Texts by variable.
    texts: BTreeMap<String, String>,
    group: PhantomData<fn() -> G>,
}

impl<G> Given<G> {
    /// Settings by variable, for those who start a server without a command line.
    pub fn of<const N: usize>(texts: [(&str, String); N]) -> Self {
        let texts = texts.into_iter().map(|(variable, text)| (variable.to_owned(), text)).collect();
        Self { texts, group: PhantomData }
    }

    /// Returns the text of a setting.
    pub fn text(&self, variable: &str) -> Option<&str> {
        self.texts.get(variable).map(String::as_str)
    }

    /// Returns the variable of each setting that is given.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        self.texts.keys().map(String::as_str)
    }

    /// Parses the settings of the group, or of a part of it. Reports each error, and goes on with the default
    /// in its place.
    pub(super) fn parse<T: Args>(&self, mistakes: &mut Mistakes) -> Option<T> {
        let command = without_environment::<T>();
        let mut accepted = Vec::new();
        for (argument, typed) in arguments::<T>().iter().zip(command.get_arguments()) {
            let (Some(variable), Some(flag)) = (variable(argument), argument.get_long()) else { continue };
            let Some(text) = self.text(variable) else { continue };
            let given = format!("--{flag}={text}");
            let alone = Command::new("setting").no_binary_name(true).arg(typed.clone());
            match alone.try_get_matches_from([&given]) {
                Ok(_) => accepted.push(given),
                Err(error) => report(mistakes, variable, &error),
            }
        }
        let matches = command.try_get_matches_from(accepted);
        let parsed = matches.and_then(|matches| T::from_arg_matches(&matches));
        parsed.map_err(|error| report(mistakes, "settings", &error)).ok()
    }
}

/// Adds each line of the error of a parser.
fn report(mistakes: &mut Mistakes, variable: &str, error: &ClapError) {
    let problem = error.source().map_or_else(|| error.kind().to_string(), ToString::to_string);
    for line in problem.lines() {
        mistakes.add(variable, line);
    }
}

impl<G: Args> FromArgMatches for Given<G> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, ClapError> {
        let text = |argument: &Arg| {
            let text = matches.get_one::<String>(argument.get_id().as_str())?;
            Some((variable(argument)?.to_owned(), text.clone()))
        };
        let texts = arguments::<G>().iter().filter_map(text).collect();
        Ok(Self { texts, group: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), ClapError> {
        self.texts.extend(Self::from_arg_matches(matches)?.texts);
        Ok(())
    }
}

impl<G: Args> Args for Given<G> {
    fn augment_args(command: Command) -> Command {
        command.args(arguments::<G>().into_iter().map(as_text))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn arguments<G: Args>() -> Vec<Arg> {
    G::augment_args(Command::new("settings")).get_arguments().cloned().collect()
}

fn variable(argument: &Arg) -> Option<&str> {
    argument.get_env()?.to_str()
}

/// Returns the same argument with any text as its value. Its help text ends with the default, unless the
/// default is hidden because the text describes it.
fn as_text(argument: Arg) -> Arg {
    let default = argument.get_default_values().first().map(|value| value.display().to_string());
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let text = argument.clone().value_parser(clap::value_parser!(String)).default_value(None::<&'static str>);
    // The order is that of the command, not that of the group.
    let text = text.display_order(None::<usize>);
    match default.filter(|_| !argument.is_hide_default_value_set()) {
        Some(default) => text.help(format!("{help} [default: {default}]")),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use clap::ArgAction;

    use super::*;
    use crate::platform::settings::{boolean, defaults, duration, networks, number};
    use std::time::Duration;

    #[derive(Args)]
    struct Group {
        /// Some number
        #[arg(long, env = "A_NUMBER", default_value = "7", value_parser = number::<u32>(1..=9))]
        number: u32,
        /// Some duration
        #[arg(long, env = "A_TIME", value_parser = duration(Duration::ZERO..=Duration::from_secs(9)))]
        time: Option<Duration>,
        /// Some switch
        #[arg(long, env = "A_SWITCH", default_value = "false", value_parser = boolean, action = ArgAction::Set)]
        switch: bool,
        /// Some networks
        #[arg(long, env = "NETWORKS", default_value = "", hide_default_value = true, value_parser = networks)]
        networks: crate::platform::settings::Networks,
    }

    fn parse<const N: usize>(texts: [(&str, &str); N]) -> (Option<Group>, Mistakes) {
        let given = Given::<Group>::of(texts.map(|(variable, text)| (variable, text.to_owned())));
        let mut mistakes = Mistakes::default();
        (given.parse(&mut mistakes), mistakes)
    }

    #[test]
    fn a_setting_has_its_checked_type() {
        let (group, mistakes) =
            parse([("A_TIME", "2s"), ("A_SWITCH", "true"), ("NETWORKS", "10.0.0.0/8, ::1")]);
        let group = group.expect("settings");
        assert!(mistakes.is_empty(), "{mistakes}");
        assert_eq!((group.number, group.time, group.switch), (7, Some(Duration::from_secs(2)), true));
        assert_eq!(group.networks.len(), 2);
        assert_eq!(defaults::<Group>().number, 7);
    }

    #[test]
    fn every_error_is_reported_and_its_default_used() {
        let (group, mistakes) =
            parse([("A_NUMBER", "10"), ("A_TIME", "-"), ("A_SWITCH", ""), ("NETWORKS", "a,b")]);
        assert_eq!(group.expect("settings").number, 7);
        let text = mistakes.to_string();
        for expected in [
            "5 mistakes",
            "A_NUMBER: 10 is not a whole number from 1 to 9",
            "A_TIME: \"-\" is not a duration such as 500ms",
            "A_SWITCH: \"\" is not true or false",
            "NETWORKS: \"a\" is not a network",
            "NETWORKS: \"b\" is not a network",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }

    #[test]
    fn the_help_text_ends_with_the_default() {
        let help = Given::<Group>::augment_args(Command::new("test")).render_long_help().to_string();
        assert!(help.contains("Some number [default: 7]\n"), "{help}");
        assert_eq!(help.matches("[default").count(), 2, "{help}");
    }
}
