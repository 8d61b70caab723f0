#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/job_messages.hpp"
#include "common/json.hpp"
#include "common/manifest.hpp"

namespace rpic {

/// What a request asks for: its JobSpec, and what has to be with the master before it.
struct JobBody {
    JobSpec spec;
    std::string items;  // each ended by a NUL; empty: none
    Manifest in;
    std::map<std::string, Manifest> in_arch;
};

/// Reads the body of a submit (NewJob in web/openapi.json); what the master checks is left to it.
/// Throws ProblemError 400. Pure.
JobBody read_job(const json::object& body);

/// What of a JobSpec is told: JobSpec in web/openapi.json.
json::object job_spec_json(const JobSpec& spec);

/// Task in web/openapi.json.
json::object task_json(const TaskView& task);

}  // namespace rpic
