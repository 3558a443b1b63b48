# Reads from a command that reports its progress now and then.
use strict;
use warnings;

open(my $progress, "-|", "for i in 1 2 3 4 5 6; do sleep 0.2; echo \$i; done") or die $!;
my $lines = 0;
$lines++ while <$progress>;
close $progress;
print "$lines\n";
