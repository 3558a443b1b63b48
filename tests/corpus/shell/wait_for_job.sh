# Starts a job and looks every tenth of a second whether it is finished.
rm -f job.done
(sleep 1.2; : > job.done) &
while [ ! -e job.done ]; do
    sleep 0.1
done
rm job.done
echo finished
