// Standard input, output and error that nobody opened.
#pragma once

namespace rankpool::os {

/// Opens /dev/null in place of those that are closed, as daemons have them: or our sockets would get their numbers, and
/// what is printed would go into a protocol. Throws Error.
void occupy_standard_streams();

}  // namespace rankpool::os
