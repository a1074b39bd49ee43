!> In place of gyre_output.f90 where the weir client is not built: the same calls, which do nothing.
module gyre_output
  use gyre_grid, only: dp, tile
  use gyre_config, only: config
  use gyre_physics, only: ocean, state
  implicit none
  private
  public :: output, output_open, output_step, output_saved, output_restart, output_close

  type output
    real(dp) :: wind = 1
    logical :: open = .false.
  end type output

contains

  !> Refuses a run that an analysis waits for.
  subroutine output_open(self, t, cfg, wind, error)
    type(output), intent(out) :: self
    type(tile), intent(in) :: t
    type(config), intent(in) :: cfg
    real(dp), intent(in) :: wind
    character(len=*), intent(out) :: error
    integer :: length
    error = ''
    self%wind = wind
    if (cfg%output_every == 0) return
    call get_environment_variable('WEIR_RUN', length=length)
    if (length > 0) error = 'WEIR_RUN is set, but this gyre was built without the weir client'
  end subroutine output_open

  subroutine output_step(self, t, o, s, step, time)
    type(output), intent(inout) :: self
    type(tile), intent(in) :: t
    type(ocean), intent(inout) :: o
    type(state), intent(inout) :: s
    integer, intent(in) :: step
    real(dp), intent(in) :: time
    self%open = .false.
  end subroutine output_step

  subroutine output_saved(self, step)
    type(output), intent(in) :: self
    integer, intent(in) :: step
  end subroutine output_saved

  logical function output_restart(first, last)
    integer, intent(inout) :: first
    integer, intent(in) :: last
    output_restart = .false.
  end function output_restart

  subroutine output_close(self)
    type(output), intent(inout) :: self
    self%open = .false.
  end subroutine output_close

end module gyre_output
