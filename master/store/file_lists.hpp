#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace rpic {

/// Which files lists of files name (common/manifest.hpp), remembered so that each list is read
/// once: what a blob holds never changes. Many lists name the same files: each name is kept once,
/// and a list knows only where its names are.
class FileLists {
  public:
    bool knows(const std::string& list) const { return lists_.contains(list); }
    /// `files` names each file once.
    void add(const std::string& list, const std::vector<std::string>& files);
    /// Forgets all other lists.
    void keep_only(const std::set<std::string>& lists);

    /// Calls `visit` for each file that a list names; for none if the list is not known.
    template <class Visit>
    void visit_files(const std::string& list, Visit visit) const {
        const auto known = lists_.find(list);
        if (known == lists_.end()) return;
        for (const auto& file : known->second) visit(file->first);
    }

    /// How many files all lists name together.
    std::size_t size() const { return files_.size(); }

  private:
    using Files = std::map<std::string, std::size_t>;  // how many lists name a file

    Files files_;
    std::map<std::string, std::vector<Files::iterator>> lists_;
};

}  // namespace rpic
