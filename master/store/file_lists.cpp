#include "master/store/file_lists.hpp"

namespace rpic {

void FileLists::add(const std::string& list, const std::vector<std::string>& files) {
    const auto [known, added] = lists_.try_emplace(list);
    if (!added) return;
    known->second.reserve(files.size());
    for (const auto& file : files) {
        const auto place = files_.try_emplace(file, 0).first;
        ++place->second;
        known->second.push_back(place);
    }
}

void FileLists::keep_only(const std::set<std::string>& lists) {
    for (auto list = lists_.begin(); list != lists_.end();) {
        if (lists.contains(list->first)) {
            ++list;
            continue;
        }
        for (const auto& file : list->second)
            if (--file->second == 0) files_.erase(file);
        list = lists_.erase(list);
    }
}

}  // namespace rpic
