// The JSON parser compiled with the fuzzer's eyes in it, in place of the library's: without them it
// would be a wall that hardly any input gets past.
#include <boost/json/src.hpp>
