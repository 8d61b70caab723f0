#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/job_options.hpp"

namespace rpic {

/// An option of the verbs that start jobs.
struct JobOption {
    std::string_view name;      // --name
    std::string_view argument;  // its name in --help; empty: a switch
    std::string_view help;
    unsigned verbs;  // bits: 1 << StartVerb
    void (*apply)(JobOptions& options, const std::string& value);

    bool takes_value() const { return !argument.empty(); }
};

const std::vector<JobOption>& job_option_table();

/// The option of that name that the verb knows, or null.
const JobOption* find_job_option(StartVerb verb, std::string_view name);

}  // namespace rpic
